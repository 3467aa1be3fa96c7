"""Prompts of different kinds and lengths."""

PROMPTS = (
    "The capital of France is",
    "The capital of Germany is",
    "Once upon a time, in a land far away, there lived",
    "def fibonacci(n):",
    "Q: What is the currency of Japan?\nA:",
    "The chemical symbol of gold is",
    "In 1969, the first human being walked on",
    "Water boils at a temperature of",
    "To be, or not to be, that is",
    "import numpy as np\n\nx = np.",
    "Dear Sir or Madam,\n\nI am writing to",
    "The three primary colours are",
    "A recipe for bread needs flour, water, salt and",
    "The opposite of hot is",
    "Monday, Tuesday, Wednesday,",
    "1, 1, 2, 3, 5, 8,",
    "The largest planet of the solar system is",
    "Shakespeare wrote the play",
    "She opened the door and saw",
    "The stock market fell today because",
    "Translate to French: good morning.",
    "<|im_start|>user\nWhat is the capital of Italy?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n",
    "Photosynthesis is the process by which",
)


def long_prompt(words: int) -> str:
    """A prompt of at least `words` tokens, no two stretches of it alike."""
    return " ".join(f"Item {n} costs {(n * 37) % 101} coins." for n in range(words // 6 + 1))
