"""Question banks between files and rows."""

from __future__ import annotations

from studyapp.models import Candidate, Question, Study
from studyapp.protocol import AttentionRow, CandidateRow, Loaded, QuestionRow


def write_rows(study: Study, loaded: Loaded) -> None:
    """Replace the study's questions and candidates by those of the folder (a draft has no people yet)."""
    Question.objects.filter(study=study).delete()
    banked = [
        Question(
            study=study,
            key=row.id,
            use=row.use,
            domain=row.domain,
            topic=row.topic or "",
            text=row.text,
            only_if=row.only_if,
        )
        for row in loaded.questions
    ]
    instructed = [
        Question(study=study, key=row.id, use=Question.Use.ATTENTION, domain="attention", text=row.text)
        for row in loaded.attention
    ]
    rows = {row.key: row for row in Question.objects.bulk_create(banked + instructed)}
    candidates = [
        Candidate(question=rows[row.question], key=row.id, text=row.text, viewpoint=row.viewpoint or "", rank=rank)
        for rank, row in enumerate(loaded.candidates)
    ]
    for item in loaded.attention:
        for rank, (key, text) in enumerate((("expected", item.expected), ("other", item.other))):
            candidates.append(Candidate(question=rows[item.id], key=key, text=text, rank=rank))
    Candidate.objects.bulk_create(candidates)


def loaded_from_rows(study: Study) -> Loaded:
    """The folder's content as the database holds it: what seats are drawn from."""
    questions: list[QuestionRow] = []
    candidates: list[CandidateRow] = []
    attention: list[AttentionRow] = []
    for row in Question.objects.filter(study=study).order_by("id").prefetch_related("candidates"):
        texts = list(row.candidates.all())
        if row.use == Question.Use.ATTENTION:
            attention.append(AttentionRow(id=row.key, text=row.text, expected=texts[0].text, other=texts[1].text))
            continue
        questions.append(
            QuestionRow(
                id=row.key,
                use="elicit" if row.use == Question.Use.ELICIT else "judge",
                domain=row.domain,
                topic=row.topic,
                text=row.text,
                only_if=row.only_if,
            )
        )
        candidates.extend(CandidateRow(id=c.key, question=row.key, text=c.text, viewpoint=c.viewpoint) for c in texts)
    return Loaded(
        protocol=study.spec,
        documents=study.documents,
        questions=tuple(questions),
        candidates=tuple(candidates),
        attention=tuple(attention),
        hash=study.protocol_hash,
        problems=(),
        warnings=(),
    )
