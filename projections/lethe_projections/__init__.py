"""Low-rank edits of a language model's activations: what they are, how to fit and keep them.

    from lethe_projections import artifact, rocr

    profile = rocr.fit(model, tokenizer, base, rocr.RocrConfig(("France",), "Narnia"))
    digest = artifact.write(profile, "france.safetensors")

The modules are the surface: `profile`, `projector`, `base_model` and `artifact` are what a file
holds; `reference` and `merge` apply it; `capture`, `rocr`, `retain` and `embedded` fit. Importing
the package itself imports nothing, so that a command line's help is quick. Knows nothing of vLLM
and of HTTP.
"""
