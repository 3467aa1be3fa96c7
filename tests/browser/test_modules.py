"""Parts of the pages that are hard to reach through them, in the browser that runs them."""

from typing import Any

import pytest
from playwright.sync_api import Page

from .rounding import shown
from .visiting import Visits


@pytest.fixture
def page(visit: Visits) -> Page:
    return visit("#/nowhere")


def segments(page: Page, reference: str, text: str, both: bool) -> list[tuple[str, str]]:
    found = page.evaluate(
        """async ([reference, text, both]) => {
          const { segments } = await import("/playground/chat/differences.js");
          return segments(reference, text, both).map(({ kind, text }) => [kind, text]);
        }""",
        [reference, text, both],
    )
    return [(kind, part) for kind, part in found]


def test_words_are_the_same_added_or_missing(page: Page) -> None:
    assert segments(page, "It is Paris, yes.", "It is Rome, yes.", True) == [
        ("same", "It is "),
        ("missing", "Paris"),
        ("added", "Rome"),
        ("same", ", yes."),
    ]


def test_what_has_not_come_yet_is_no_difference(page: Page) -> None:
    assert segments(page, "It is", "It is Paris", False) == [("same", "It is "), ("same", "Paris")]
    assert segments(page, "It is Paris", "It is", False) == [("same", "It is")]


def test_what_takes_too_long_is_not_said_to_differ(page: Page) -> None:
    found = page.evaluate(
        """async () => {
          const { segments } = await import("/playground/chat/differences.js");
          const words = (name) => Array.from({ length: 50000 }, (_, at) => name + at).join(" ");
          return segments(words("a"), words("b"), true);
        }"""
    )
    assert found is None


def overlaid(page: Page, reference: str, texts: list[str]) -> Any:
    return page.evaluate(
        """async ([reference, texts]) => {
          const { overlaid, segments } = await import("/playground/chat/differences.js");
          const told = segments(reference, texts.join(""), true);
          const pieces = texts.map((text) => ({ text }));
          return overlaid(told, pieces).map(({ kind, parts }) =>
            [kind, parts.map(({ text, piece, first }) => [text, piece, first])]);
        }""",
        [reference, texts],
    )


def test_a_token_that_lies_across_a_difference_is_cut_and_stays_one(page: Page) -> None:
    assert overlaid(page, "It is so", ["It", " is Ro", "me", ""]) == [
        ["same", [["It", 0, True], [" is ", 1, True]]],
        ["missing", []],
        ["added", [["Ro", 1, False], ["me", 2, True]]],
    ]


def test_reasoning_is_in_no_difference(page: Page) -> None:
    parts = page.evaluate(
        """async () => {
          const { overlaid } = await import("/playground/chat/differences.js");
          const pieces = [{ text: "Hm.", isReasoning: true }, { text: "It" }, { text: " is" }];
          return overlaid([{ kind: "same", text: "It is" }], pieces)[0].parts;
        }"""
    )
    assert [(part["text"], part["piece"]) for part in parts] == [("It", 1), (" is", 2)]


def pieces(page: Page, events: list[tuple[str, list[str]]]) -> Any:
    return page.evaluate(
        """async (events) => {
          const { Answer } = await import("/playground/chat/answer.js");
          const answer = new Answer({ selection: "base" });
          const utf8 = new TextEncoder();
          for (const [content, texts] of events) {
            const told = texts.map((text, id) => ({
              token: `token_id:${id}`, logprob: -1, bytes: [...utf8.encode(text)], top_logprobs: [],
            }));
            answer.take({ choices: [{ delta: { content }, logprobs: { content: told } }] });
          }
          answer.finishReason = "stop";
          answer.finish();
          return answer.pieces.map(({ text, tokens }) => [text, tokens]);
        }""",
        events,
    )


def test_every_token_belongs_to_a_piece_of_the_text(page: Page) -> None:
    one_each = [("It", ["It"]), (" is", [" is"])]
    assert pieces(page, one_each) == [["It", [0]], [" is", [1]]]
    several = [("It is so", ["It", " is", " so"])]
    assert pieces(page, several) == [["It", [0]], [" is", [1]], [" so", [2]]]
    within_a_character = [("", [""]), ("こ", ["こ"]), ("", ["<end>"])]
    assert pieces(page, within_a_character) == [["こ", [0, 1]], ["", [2]]]
    not_told_apart = [("It is", ["It is…", "?"])]
    assert pieces(page, not_told_apart) == [["It is", [0, 1]]]


def test_reasoning_has_its_own_tokens_and_is_not_the_answer(page: Page) -> None:
    found = page.evaluate(
        """async () => {
          const { Answer } = await import("/playground/chat/answer.js");
          const answer = new Answer({ selection: "base" });
          const utf8 = new TextEncoder();
          const told = (...texts) => ({ content: texts.map((text, id) => ({
            token: `token_id:${id}`, logprob: -1, bytes: [...utf8.encode(text)], top_logprobs: [],
          })) });
          for (const [delta, logprobs] of [
            [{}, told("<think>")],
            [{ reasoning: "Hm" }, told("Hm")],
            [{ reasoning: ".", content: "It" }, told(".", "</think>", "It")],
            [{ content: " is" }, told(" is")],
          ]) answer.take({ choices: [{ delta, logprobs }] });
          return [answer.text, answer.pieces.map(
            ({ text, tokens, isReasoning }) => [text, tokens, isReasoning ?? false])];
        }"""
    )
    assert found == [
        "It is",
        [
            ["Hm", [0, 1], True],
            [".", [], True],
            ["It", [2, 3, 4], False],
            [" is", [5], False],
        ],
    ]


def test_a_stream_that_breaks_off_is_an_error(page: Page) -> None:
    message = page.evaluate(
        """async () => {
          const { Answer } = await import("/playground/chat/answer.js");
          const answer = new Answer({ selection: "base" });
          try { answer.finish(); } catch (error) { answer.fail(error); }
          return [answer.state.value, answer.error];
        }"""
    )
    assert message[0] == "failed"
    assert "broke off" in message[1]


NUMBERS = {
    0: "0.000",
    0.0004: "0.00040",
    -0.0004: "-0.00040",
    0.00996: "0.010",
    0.0234: "0.023",
    -0.5: "-0.500",
    3.14159: "3.142",
    2e-7: "2.0e-7",
}


def test_small_numbers_keep_two_digits_and_their_sign(page: Page) -> None:
    found = page.evaluate(
        """async (values) => {
          const { number } = await import("/playground/parts/text.js");
          return values.map(number);
        }""",
        list(NUMBERS),
    )
    assert found == list(NUMBERS.values())
    assert found == [shown(value) for value in NUMBERS], "the tests of pages compare with these"
