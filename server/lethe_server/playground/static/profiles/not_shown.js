// As `lethe_server/evaluating/not_shown.py` says it; a test compares them.
export const NOT_SHOWN = [
  "That nothing brings it up. These are the forms of the suite; another one, another language or a longer conversation may. The worst form is the worst of those asked, and its interval does not account for the choice among them.",
  "What weights or activations still hold. An edit is no deletion: the base is in the same server, and who may use it knows all.",
  "That it withstands training on it, quantisation or other sampling: answers are greedy, one a prompt.",
  "That all else is as before. Neighbours, unrelated facts and retain text are samples; the general text that ships is what most profiles were fitted to keep, so name your own with --retain.",
  "Whether the uploader measured it: evidence is what whoever may change the profile says of it. The digests let anybody repeat it.",
];
