"""An experiment: half of the users are served the base, half a variant; what becomes of them.

make demo      # or any server that has a profile 'france'; its key in LETHE_API_KEY
LETHE_URL=http://127.0.0.1:8000 python examples/ab.py
"""

import os

import httpx

NAME, USERS = "example", 24
EXPERIMENT = f"/v1/unlearning/experiments/{NAME}"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]

key = os.environ.get("LETHE_API_KEY")
client = httpx.Client(
    base_url=os.environ.get("LETHE_URL", "http://127.0.0.1:8000"),
    headers={"Authorization": f"Bearer {key}"} if key else {},
    timeout=120,
)
arms = [{"name": "plain", "profile": "base"}, {"name": "treated", "profile": "france"}]
plan = {"name": NAME, "arms": arms, "control": "plain"}
client.post("/v1/unlearning/experiments", json=plan).raise_for_status()

outcomes = []
for user in range(USERS):
    body = {"model": "smollm2", "messages": QUESTION, "user": f"user-{user}", "max_tokens": 16}
    reply = client.post(
        "/v1/chat/completions",
        json={**body, "temperature": 0},
        headers={"X-Unlearning-Experiment": NAME},
    ).raise_for_status()
    text = reply.json()["choices"][0]["message"]["content"]
    request = reply.headers["X-Request-Id"]
    outcomes.append({"request_id": request, "metric": "says_paris", "value": "Paris" in text})
client.post(f"{EXPERIMENT}/outcomes", json=outcomes).raise_for_status()

report = client.get(f"{EXPERIMENT}/report").raise_for_status().json()
for arm in report["arms"]:
    found = arm["metrics"]["says_paris"]
    low, high = found["interval"]
    print(f"{arm['name']:8} {arm['units']:3} users, {found['value']:.2f} [{low:.2f}, {high:.2f}]")
    if found["difference"] is not None:
        print(f"         difference {found['difference']['value']:+.2f}", end="")
        print(f", p = {found['difference']['p_value']:.1g}")
client.post(f"{EXPERIMENT}/stop").raise_for_status()
client.delete(EXPERIMENT).raise_for_status()
