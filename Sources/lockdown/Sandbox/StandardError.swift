import Diagnostics
import Glibc

/// Prints a line to standard error; results alone go to standard output.
func printError(_ line: String) { printRendered(PrintableText.lines(line)) }

/// The same of text that has nothing in it but ours, and colours.
func printRendered(_ line: String) {
  let bytes = Array((line + "\n").utf8)
  // A closed standard error leaves nobody to tell.
  _ = write(2, bytes, bytes.count)
}
