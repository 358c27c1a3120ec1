"""Networks: built, their published weights read, their heads replaced."""
