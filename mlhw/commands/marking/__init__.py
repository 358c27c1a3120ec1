"""What ``mlhw grade`` is made of: a class is graded, and everybody gets points and feedback."""
