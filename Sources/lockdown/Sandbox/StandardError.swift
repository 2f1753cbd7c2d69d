import Glibc

/// Prints a line to standard error; results alone go to standard output.
func printError(_ line: String) {
  let bytes = Array((line + "\n").utf8)
  // A closed standard error leaves nobody to tell.
  _ = write(2, bytes, bytes.count)
}
