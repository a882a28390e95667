"""The researchers' site: studies, people, texts, judgments and the log. Blind until a study is unblinded.

One module a noun. Rows are read here and changed only by actions, which call the same services as the commands do.
"""
