"""The classic mistakes in a derivation of back-propagation, made on purpose, so as to name somebody's."""
