"""Doorbells of the outer shell."""

from celery import shared_task

from studyapp.services import computing, exporting, leaving, releasing, standing


@shared_task(name="studyapp.sweep")
def sweep() -> int:
    """Time silent people out and give their seats back; ring for results that wait."""
    standing.sweep()
    return leaving.time_out()


@shared_task(name="studyapp.results")
def results(study_id: int) -> bool:
    """Results of an unblinded study were asked for on the site."""
    return computing.make(study_id)


@shared_task(name="studyapp.export")
def export(number: int) -> bool:
    """An export was asked for on the site."""
    return releasing.make(number)


@shared_task(name="studyapp.sweep_exports")
def sweep_exports() -> int:
    """Remove exports whose time is over, and ring for those that wait."""
    return exporting.sweep()
