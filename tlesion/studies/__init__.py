"""One room per question: the study, its result, what it says in words, its figures and its page."""
