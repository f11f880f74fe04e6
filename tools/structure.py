#!/usr/bin/env python3
"""Checks the structure of the workspace. Prints what breaks a rule, and exits with 1 if anything does.

    tools/structure.py

1. No files of a crate import one another in a circle, neither directly nor through other files.
2. The crates depend on one another only as DEPENDENCIES says, and carry no package that FORBIDDEN names for them.
3. Each public item of a crate is used by another package of the workspace, or by the docs of its own crate's public items.

Imports are read from the text (`use`, and paths that begin with `crate::` or `super::`); nothing is compiled.
"""
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What each crate may depend on. Development dependencies may also be `testing` and the crates in DEVELOPMENT.
DEPENDENCIES = {
    "invoice": "",
    "sha256": "",
    "aws": "",
    "records": "",
    "logs": "invoice",
    "layout": "invoice records sha256",
    "generate": "invoice",
    "table": "invoice sha256 aws",
    "write": "invoice sha256 aws table",
    "engine": "invoice records layout sha256 aws table write",
    "api": "invoice sha256 aws table",
    "local": "sha256 aws",
    "lambda": "api engine aws logs table write",
    "testing": "invoice aws",
}
DEVELOPMENT = {"api": "engine local records", "engine": "local", "generate": "layout records", "local": "", "write": "", "table": ""}

AWS_SDK = r"aws-sdk-.*|aws-config|aws-smithy-.*"
EMBEDDED = r"rusqlite|libsqlite3-sys|dynoxide-rs|s3s|s3s-fs|clap|indicatif"
FORBIDDEN = {"invoice": AWS_SDK, "records": AWS_SDK, "layout": AWS_SDK, "generate": AWS_SDK, "lambda": EMBEDDED}

PATH = re.compile(r"\b(crate|super)((?:::super)*)((?:::[A-Za-z_]\w*)+)")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
STRING = re.compile(r'b?r?"(?:\\.|[^"\\])*"', re.S)
TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*mod \w+ \{.*\Z", re.S)
ITEM = re.compile(r"^\s*pub (?:const |async |unsafe )*(fn|struct|enum|trait|const|static|type|mod|union) ([A-Za-z_]\w*)", re.M)


def code(path):
    """Returns the text of a file without comments, texts and its module of tests."""
    return TESTS.sub("", STRING.sub('""', COMMENT.sub("", path.read_text())))


def sources(folder):
    """Returns the files of a crate by the path of their module, without tests."""
    files = {}
    for path in sorted(folder.rglob("*.rs")):
        parts = list(path.relative_to(folder).with_suffix("").parts)
        if parts[0] == "bin" or "tests" in parts or parts == ["main"]:
            continue
        if parts[-1] in ("mod", "lib"):
            parts.pop()
        files[tuple(parts)] = path
    return files


def expanded(text):
    """Returns the text with each group of a `use` written as one path for each member."""
    def members(body):
        depth, start = 0, 0
        for at, character in enumerate(body):
            depth += {"{": 1, "}": -1}.get(character, 0)
            if character == "," and depth == 0:
                yield body[start:at]
                start = at + 1
        yield body[start:]

    def paths(item):
        item = item.strip()
        at = item.find("{")
        if at < 0:
            return [item]
        head, body = item[:at], item[at + 1:item.rfind("}")]
        return [head + path for member in members(body) if member.strip() for path in paths(member)]

    return re.sub(r"\buse ([^;]+);", lambda found: "".join(f"use {path};\n" for path in paths(found[1])), text)


def exports(files):
    """Returns which module each name belongs to that a module passes on by `pub use`."""
    found = {}
    for module, path in files.items():
        for line in re.findall(r"pub(?:\([^)]*\))? use ([^;]+);", expanded(code(path))):
            path_, _, alias = line.partition(" as ")
            parts = [part for part in path_.replace("self::", "").split("::")]
            base = module
            if parts[0] == "crate":
                base, parts = (), parts[1:]
            while parts and parts[0] == "super":
                base, parts = base[:-1], parts[1:]
            if len(parts) > 1 and (*base, parts[0]) in files:
                found[(*module, alias or parts[-1])] = (*base, *parts)
    return found


def target(path, files, passed_on):
    """Returns the module that defines what a path names."""
    for _ in range(8):
        if path in passed_on:
            path = passed_on[path]
            continue
        break
    while path and path not in files:
        path = path[:-1]
    return path


def imports(folder):
    """Returns for each file of a crate the files that it imports from."""
    files = sources(folder)
    passed_on = exports(files)
    graph = {module: set() for module in files}
    for module, path in files.items():
        text = expanded(code(path))
        text = re.sub(r"pub(?:\([^)]*\))? use [^;]+;", "", text)
        text = re.sub(r"pub\(in [^)]*\)|pub\((?:crate|super)\)", "", text)
        for root, supers, rest in PATH.findall(text):
            base = () if root == "crate" else module[:-1]
            for _ in range(supers.count("super")):
                base = base[:-1]
            found = target((*base, *rest.strip(":").split("::")), files, passed_on)
            if found != module:
                graph[module].add(found)
    return files, graph


def circles(graph):
    """Returns the groups of modules that reach one another (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(group)

    for node in graph:
        if node not in index:
            visit(node)
    return found


def crates():
    return {path.parent.name: path.parent / "src" for path in sorted(ROOT.glob("crates/*/Cargo.toml"))}


def check_circles():
    for name, folder in {**crates(), "notaflux": ROOT / "src"}.items():
        files, graph = imports(folder)
        for group in circles(graph):
            yield f"{name}: files import one another in a circle:"
            for module in sorted(group):
                others = sorted(str(files[other].relative_to(ROOT)) for other in graph[module] if other in group)
                yield f"  {files[module].relative_to(ROOT)} imports {', '.join(others)}"


def check_dependencies():
    metadata = json.loads(subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, check=True,
                                         stdout=subprocess.PIPE, text=True).stdout)
    packages = {package["name"]: package for package in metadata["packages"]}
    for name, allowed in DEPENDENCIES.items():
        for dependency in packages[f"notaflux-{name}"]["dependencies"]:
            other = dependency["name"].removeprefix("notaflux-")
            if other == dependency["name"]:
                continue
            more = f"testing {DEVELOPMENT.get(name, '')}" if dependency["kind"] == "dev" else ""
            if other not in f"{allowed} {more}".split():
                yield f"crates/{name} must not depend on crates/{other}"
    for missing in crates().keys() - DEPENDENCIES.keys():
        yield f"crates/{missing} is not in DEPENDENCIES"
    for name, pattern in FORBIDDEN.items():
        tree = subprocess.run(["cargo", "tree", "-p", f"notaflux-{name}", "--edges", "normal", "--prefix", "none"], cwd=ROOT,
                              check=True, stdout=subprocess.PIPE, text=True).stdout
        for package in sorted({line.split()[0] for line in tree.splitlines() if line}):
            if re.fullmatch(pattern, package):
                yield f"crates/{name} must not carry {package}"


def check_public():
    """Names that stand nowhere in another package, and in no signature of their own crate's public items."""
    texts = {}
    for path in [*ROOT.glob("crates/*/src/**/*.rs"), *ROOT.glob("src/**/*.rs"), *ROOT.glob("tests/**/*.rs"),
                 *ROOT.glob("benches/**/*.rs"), *ROOT.glob("fuzz/**/*.rs")]:
        parts = path.relative_to(ROOT).parts
        package = parts[1] if parts[0] == "crates" else parts[0]
        texts.setdefault(package, []).append(path.read_text())
    words = {package: set(re.findall(r"[A-Za-z_]\w*", COMMENT.sub("", "\n".join(each)))) for package, each in texts.items()}
    for name, folder in crates().items():
        used = set().union(*(found for package, found in words.items() if package != name))
        own = [code(path) for path in sources(folder).values()]
        signatures = set()
        for text in own:
            # Types that appear in what is public: fields, arguments, results, members of public enums.
            for part in re.findall(r"\bpub (?:const |async )*fn [^{;]*[{;]|\bpub \w+: [^\n]*|\bpub (?:struct|enum|trait|type|const|static)\b.*?(?:\n\}|;\n)|impl[^{]*\{|^\s+type \w+ = [^;]*;", text, re.S | re.M):
                signatures |= set(re.findall(r"[A-Za-z_]\w*", part))
        defined = defaultdict(int)
        for text in own:
            for kind, item in ITEM.findall(text):
                defined[kind, item] += 1
        for (kind, item), times in sorted(defined.items()):
            is_type = kind in ("struct", "enum", "trait", "type", "union")
            if item in used or (is_type and item in signatures and sum(text.count(item) for text in own) > times):
                continue
            yield f"crates/{name}: no other package uses the public {kind} {item}"


def main():
    problems = [*check_circles(), *check_dependencies(), *check_public()]
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
