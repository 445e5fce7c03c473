"""The shipped models, the toy language that they were trained on, and the program that trained them."""
