import CNFTLibrary

/// What stock nft does, in this process. The library is all of nft(8) but its command line.
final class StockNFT {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  private let context: OpaquePointer

  init() throws {
    guard let context = nft_ctx_new(UInt32(NFT_CTX_DEFAULT)) else {
      throw Failure(description: "nft_ctx_new: out of memory")
    }
    self.context = context
    // `nft -s`: without what counts.
    nft_ctx_output_set_flags(context, UInt32(NFT_CTX_OUTPUT_STATELESS))
    guard nft_ctx_buffer_output(context) == 0, nft_ctx_buffer_error(context) == 0 else {
      nft_ctx_free(context)
      throw Failure(description: "nft_ctx_buffer_output: out of memory")
    }
  }

  deinit { nft_ctx_free(context) }

  /// Runs commands as `nft -f` does and gives what they print.
  func run(_ commands: String) throws -> String {
    let status = nft_run_cmd_from_buffer(context, commands)
    // Reading empties both.
    let output = nft_ctx_get_output_buffer(context).map { String(cString: $0) } ?? ""
    let errors = nft_ctx_get_error_buffer(context).map { String(cString: $0) } ?? ""
    guard status == 0 else { throw Failure(description: errors.isEmpty ? "status \(status)" : errors) }
    return output
  }
}
