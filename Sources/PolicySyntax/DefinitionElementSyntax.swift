/// An element of a `define` list.
package enum DefinitionElementSyntax: Sendable, Equatable {
  /// The explicit forms `{addresses: […]}`, `{numbers: […]}` …, which say what their elements are.
  package enum Kind: String, Sendable, CaseIterable {
    case addresses
    case numbers
    case interfaces
    case services
  }

  case reference(String)
  /// Never a reference. The words `any`, `local` … only where addresses are asked for.
  case address(AddressSyntax)
  /// A number is a range of one; `lower ≤ upper`.
  case number(UInt32, UInt32)
  /// A protocol and at most one port or range, never a reference.
  case service(Spanned<ProtocolSyntax>, port: Spanned<PortSyntax>?)
  /// Never a reference. Also what may be meant otherwise: a service name, `any`; the checker judges those.
  case interface(InterfaceSyntax)
}
