"""The targets for Atheris, a fuzzer that looks for inputs which reach code that no input has reached before.

    python -m tests.fuzz.coverage spec CORPUS -runs=100000
    python -m tests.fuzz.coverage query CORPUS -runs=100000

CORPUS is a folder; it gets the texts to begin with, and keeps what was found. An input that raises, or takes over a
second, is written to a file `crash-…` or `timeout-…` and ends the run. Options are those of libFuzzer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import atheris

with atheris.instrument_imports(include=["bitspec.language", "bitspec.query", "bitspec.ir", "lark"]):
    from tests.fuzz import targets
    from tests.fuzz.inputs import QUERY_WORDS, SPEC_WORDS, seeds

#: Characters of the longest input; what is long is tried elsewhere.
_LONGEST = 250


def main(kind: str, corpus: Path, *options: str) -> None:
    """Fuzz one kind of text; the process ends with it."""
    target = {"spec": targets.read_spec, "query": targets.compile_a_query}[kind]
    words = SPEC_WORDS if kind == "spec" else QUERY_WORDS
    corpus.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(seeds(kind)):
        (corpus / f"seed-{number}").write_bytes(text.encode(errors="surrogatepass"))
    with NamedTemporaryFile("w", suffix=".dict", delete=False, encoding="ascii") as dictionary:
        for word in dict.fromkeys(words):
            encoded = word.encode(errors="surrogatepass")
            if encoded:
                dictionary.write('"' + "".join(f"\\x{byte:02x}" for byte in encoded) + '"\n')

    def one(data: bytes) -> None:
        # Half of a character can stand in a text that a program makes, if in no file.
        targets.within_its_time(target, data.decode(errors="surrogateescape"))

    arguments = [sys.argv[0], str(corpus), f"-dict={dictionary.name}", f"-max_len={_LONGEST}", "-timeout=10", *options]
    atheris.Setup(arguments, one)
    with targets.prepared():
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
