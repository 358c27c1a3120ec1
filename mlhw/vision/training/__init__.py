"""One fine-tuning: prepared, trained, its state saved."""
