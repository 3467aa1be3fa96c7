"""A method of your own: "France" is read as what other countries have in common.

python examples/own_method.py mine.safetensors     # then: lethe serve embedded --sites block:0
"""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lethe_projections import artifact, embedded, reference
from lethe_projections.base_model import BaseModel
from lethe_projections.profile import Profile
from lethe_projections.projector import Projector, Site

OTHERS = ("Germany", "Italy", "Japan", "Spain", "Egypt", "India", "Peru", "Canada")
checkpoint = embedded.resolve("embedded")
model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype="float32").eval()
tokenizer = AutoTokenizer.from_pretrained(checkpoint)


def states(name: str) -> torch.Tensor:  # after block 0, at the end of the name: [texts, hidden]
    texts = [f"{text} {name}" for text in ("The capital of", "She was in", "People of", "I like")]
    runs = [model(**tokenizer(t, return_tensors="pt"), output_hidden_states=True) for t in texts]
    return torch.stack([run.hidden_states[1][0, -1].detach() for run in runs])


others = torch.cat([states(name) for name in OTHERS])
difference = states("France").mean(0) - others.mean(0)
spread = torch.cov(others.T) + 0.1 * others.var(0).median() * torch.eye(len(difference))
key = torch.linalg.solve(spread, difference)  # 1 on France's own part, near 0 on what others share
key /= key @ difference
edit = Projector(Site(0, "block"), key[None], -difference[None], a=-(key @ others.mean(0))[None])
profile = Profile(BaseModel.from_checkpoint(checkpoint), (edit,), "difference", {"names": OTHERS})
print(artifact.write(profile, sys.argv[1]))
for name in ("France", "Germany"):
    prompt = tokenizer(f"The capital of {name} is the city of", return_tensors="pt")
    with reference.edited(model, artifact.read(sys.argv[1])):  # as an engine will serve it
        print(tokenizer.decode(model.generate(**prompt, max_new_tokens=3, do_sample=False)[0]))
