"""bitspec: a declarative language for parameter-ablation studies of pretrained transformers."""
