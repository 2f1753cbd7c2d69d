"""Which type PyYAML and the YAML 1.2 core schema give unquoted text, compared with what we say.

Input (a file): lines `TYPE-IN-1.1 TYPE-IN-1.2 TEXT`. Output: a line for each disagreement, then the count.
"""

import re
import sys

import yaml

# https://yaml.org/type/bool.html has more words than PyYAML: these are no disagreement.
ONLY_IN_YAML_11 = {"y", "Y", "n", "N"}

# YAML 1.2.2, 10.3.2 Tag Resolution.
CORE = [
    ("null", r"null|Null|NULL|~|"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    ("float", r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"),
]

# https://yaml.org/type/float.html, where PyYAML is narrower or wider: an exponent without sign, no digit in front.
FLOAT_11 = re.compile(
    r"[-+]?([0-9][0-9_]*)?\.[0-9_]*([eE][-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)

# PyYAML takes a number of base 60 only from 1 to 9 on, and its time stamps are those of the type repository.


def core(text):
    for name, pattern in CORE:
        if re.fullmatch(pattern, text):
            return name
    return "string"


def main():
    resolver = yaml.SafeLoader("")
    count = 0
    with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
        for line in file:
            count += 1
            yaml11, yaml12, text = line[:-1].split(" ", 2)
            tag = resolver.resolve(yaml.ScalarNode, text, (True, False)).rsplit(":", 1)[1]
            tag = {"str": "string"}.get(tag, tag)
            if tag != yaml11:
                wider = text in ONLY_IN_YAML_11 and yaml11 == "bool"
                wider = wider or tag == "string" and yaml11 == "float" and FLOAT_11.fullmatch(text)
                if not wider:
                    print("1.1: %r is %s to PyYAML, %s to us" % (text, tag, yaml11))
            if core(text) != yaml12:
                print("1.2: %r is %s to the core schema, %s to us" % (text, core(text), yaml12))
    print("%d texts" % count)


main()
