import HostState
import Testing

struct LoadedPolicyTests {
  private let digits = String(repeating: "0123456789abcdef", count: 4)

  @Test func readsNameAndDigest() {
    let policy = LoadedPolicy(comment: "web-node sha256:" + digits, messageDigest: [1])
    #expect(policy.name == "web-node")
    #expect(policy.policyDigest == digits)
  }

  @Test func anythingElseIsNoPolicy() {
    let comments = [
      "", "sha256:" + digits, " sha256:" + digits, "web " + digits, "web sha256:" + digits.dropLast(),
      "web sha256:" + digits.uppercased(), "web sha256:" + digits + "0", "web sha256:" + digits + " ",
    ]
    for comment in comments {
      let policy = LoadedPolicy(comment: comment, messageDigest: [])
      #expect(policy.name == nil && policy.policyDigest == nil, "\(comment)")
    }
  }
}
