internal import Ruleset

/// A verdict's number and target in NFTA_VERDICT_CODE and NFTA_VERDICT_CHAIN.
struct VerdictCode {
  var number: Int32
  var chain: String?

  // linux/netfilter.h NF_DROP, NF_ACCEPT; linux/netfilter/nf_tables.h enum nft_verdicts.
  private static let drop: Int32 = 0
  private static let accept: Int32 = 1
  private static let `continue`: Int32 = -1
  private static let jump: Int32 = -3
  private static let goto: Int32 = -4
  private static let `return`: Int32 = -5

  init(_ verdict: KernelVerdict) {
    switch verdict {
    case .drop: (number, chain) = (Self.drop, nil)
    case .accept: (number, chain) = (Self.accept, nil)
    case .continue: (number, chain) = (Self.continue, nil)
    case .return: (number, chain) = (Self.return, nil)
    case .jump(let target): (number, chain) = (Self.jump, target)
    case .goto(let target): (number, chain) = (Self.goto, target)
    }
  }

  init(number: Int32, chain: String?) {
    self.number = number
    self.chain = chain
  }

  /// Nil for a verdict that we never write, as `queue`.
  var verdict: KernelVerdict? {
    switch (number, chain) {
    case (Self.drop, nil): .drop
    case (Self.accept, nil): .accept
    case (Self.continue, nil): .continue
    case (Self.return, nil): .return
    case (Self.jump, let target?): .jump(target)
    case (Self.goto, let target?): .goto(target)
    default: nil
    }
  }
}
