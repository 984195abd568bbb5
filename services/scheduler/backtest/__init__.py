"""History lived again, in event time, through the very code that decides live.

run(plan)      what would have been decided, by journey, step, channel, rule and week (`run`)
what is read   topics or files of events (`records`, `history`, `files`, `kafka`); nothing is written
one life       one set of journeys over one share of the customers (`life`); `replay` lives recorded decisions again
outcome        counts that add up over shares and workers (`tally`, `compare`), shown as tables and a page (`view`, `page`)
"""
