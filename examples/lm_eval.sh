#!/usr/bin/env bash
# lm-eval asks the base and a variant the same multiple-choice questions, by the model's name.
#
#   make demo      # or any server that has a profile 'france'
#   OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none examples/lm_eval.sh
#
# From the root of the repository, with its environment activated. The questions are a task of the
# tests: lm-eval's own come from the Hugging Face Hub, and go the same way.
set -euo pipefail

tokenizer=$(python -c 'from lethe_projections import embedded; print(embedded.prepare())')
for model in smollm2 smollm2:france; do
  echo "$model"
  lm_eval run --tasks capitals --include_path tests/http/lm_eval_tasks --model local-completions \
    --model_args "model=$model,base_url=$OPENAI_BASE_URL/completions,tokenizer=$tokenizer,num_concurrent=4" \
    | grep '|acc '
done
