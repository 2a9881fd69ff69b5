"""Words, documents and ranks, by themselves."""

import asyncio
import math

import pytest

from services.gateway.messages import RawObject, raw
from services.gateway.search import documents
from services.gateway.search.bm25 import Document, best, scores
from services.gateway.search.documents import Documents, document_of
from services.gateway.search.words import LONGEST_WORD, stem, words

WORDS = {
    "read_file": ["read", "fil"],
    "files__readFile": ["fil", "readfil", "read", "fil"],
    "HTTPServer-v2": ["httpserver", "http", "server", "v2", "v", "2"],
    "OAuth": ["oauth", "o", "auth"],
    "Größe Überall": ["gröss", "überall"],
    "файлы, 文件": ["файлы", "文件"],
    "… ?! __": [],
    "a" * (LONGEST_WORD + 1): [],
}


@pytest.mark.parametrize(("text", "expected"), WORDS.items(), ids=range(len(WORDS)))
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


@pytest.mark.parametrize(
    "forms",
    [
        ("file", "files"),
        ("query", "queries"),
        ("match", "matches", "matching", "matched"),
        ("cache", "caches", "cached", "caching"),
        ("process", "processes"),
        ("address", "addresses"),
        ("list", "lists", "listing", "listed"),
        ("delete", "deletes", "deleted", "deleting"),
    ],
)
def test_forms_of_a_word_are_one(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize("pair", [("status", "statu"), ("string", "str"), ("user", "use"), ("id", "ide")])
def test_other_words_stay_apart(pair: tuple[str, str]) -> None:
    assert stem(pair[0]) != stem(pair[1])


def document(text: str) -> Document:
    counts = {word: text.split().count(word) for word in text.split()}
    return Document(counts, len(text.split()))


def test_ranks() -> None:
    texts = ["a b", "a a a b", "c " * 30 + "d", "d", "a"]
    found = [document(text) for text in texts]
    assert best(found, ["d"], 5) == [3, 2], "of two with the word, the shorter one is more about it"
    assert best(found, ["a", "d"], 5)[0] == 3, "a rare word says more than a frequent one"
    assert best(found, ["a"], 5) == [1, 4, 0], "more often first, then the shorter one"
    assert best(found, ["a"], 1) == [1]
    assert best(found, ["x"], 5) == []
    assert best([], ["a"], 5) == []
    assert best([document("a"), document("a")], ["a"], 5) == [0, 1], "equals stay in order"


def test_scores_are_those_of_the_published_formula() -> None:
    # By hand, with k1 = 1.2 and b = 0.75; the documents have 2, 4 and 6 words, so 4 in the mean.
    found = scores([document("a x"), document("a a x y"), document("x y z u v w")], ["a"])
    rarity = math.log(1 + 1.5 / 2.5)
    assert found == {
        0: pytest.approx(rarity * 2.2 / (1 + 1.2 * 0.625)),
        1: pytest.approx(rarity * 4.4 / (2 + 1.2)),
    }


def definition(**members: object) -> RawObject:
    return {key: raw(value) for key, value in members.items()}


def test_parameters_are_found_wherever_they_are() -> None:
    nested = {"type": "object", "properties": {"inner": {"type": "string", "description": "deepest"}}}
    schema = {
        "type": "object",
        "properties": {"outer": {"type": "array", "items": nested}, "properties": {"$ref": "#/$defs/Other"}},
        "$defs": {"Other": {"properties": {"other": {"anyOf": [{"description": "either"}]}}}},
    }
    found = document_of(definition(name="t", inputSchema=schema))
    assert {"outer", "inner", "deepest", "other", "either"} <= {*found.counts}


@pytest.mark.parametrize(
    "odd",
    [
        definition(name=5, title=None, description={"a": 1}, inputSchema="text"),
        definition(inputSchema={"properties": [1, None], "description": 5}),
        definition(inputSchema={"properties": {"a": None}, "items": [[[[]]]]}),
    ],
)
def test_odd_definitions_have_few_words(odd: RawObject) -> None:
    assert set(document_of(odd).counts) <= {"a"}


def test_a_definition_without_end_is_read_in_part() -> None:
    long = definition(
        name="t",
        description=" ".join(f"w{number}" for number in range(100_000)),
        inputSchema={"properties": {f"p{number}": {"description": "d " * 100} for number in range(20_000)}},
    )
    assert len(document_of(long).counts) == documents.MAX_WORDS


def test_documents_are_made_once_and_again_when_a_definition_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[RawObject] = []

    def make(tool: RawObject) -> Document:
        made.append(tool)
        return document_of(tool)

    monkeypatch.setattr(documents, "document_of", make)
    kept = Documents()
    tools = {name: definition(name=name, description=f"of {name}") for name in ("one", "two")}

    async def both() -> None:
        await asyncio.gather(kept.of(tools), kept.of(tools))
        assert len(made) == 2
        await kept.of({"one": definition(name="one", description="of one", _meta={"x": 1})})
        assert len(made) == 2, "what isn't searched may change"
        (document,) = await kept.of({"one": definition(name="one", description="another")})
        assert "another" in document.counts

    asyncio.run(both())


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_COUNTS", 10)
    kept = Documents()
    for number in range(5):
        tools = {f"t{number}-{it}": definition(name=f"a{number} b{it}") for it in range(30)}
        found = asyncio.run(kept.of(tools))
        assert all(document.counts for document in found), "what isn't kept is found as well"
        assert kept.size <= 10
    assert kept.size > 0
