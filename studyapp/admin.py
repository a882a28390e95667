"""Registration of the researchers' site; the tables are in `studyapp.dashboard`."""

from studyapp.dashboard import exports, generations, judgments, log, people, studies, users

for table in (studies, people, generations, judgments, exports, log, users):
    table.register()
