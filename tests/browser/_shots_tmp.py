"""Screenshots of the admin at 1280 px, light and dark."""
import pytest
from django.contrib.auth import get_user_model
from tests import factory
from tests.browser.conftest import *  # noqa
from inference.models import Generation, Attempt
from studyapp.models import Participant
from studyapp.services import studies
OUT="/tmp/helperI/"
def test_shots(visit, transactional_db):
    get_user_model().objects.create_superuser("admin", password="pw-for-shots")
    study = factory.open_study(title="Which answer do you like?", max_enrolled=40, target_participants=30)
    for n in range(5): factory.completed(study)
    a=factory.elicited(study); factory.consented(study); factory.consented(study, panel="prolific", panel_id="5f", panel_study="s", panel_session="x")
    Participant.objects.filter(study=study).order_by("pk")[:1]
    from django.utils import timezone
    Participant.objects.filter(pk=a.pk).update(wait_started_at=timezone.now())
    g=Generation.objects.filter(state="queued").first() or Generation.objects.last()
    msg="permanent: model 'script' of arm fspo refuses"
    Generation.objects.filter(pk=g.pk).update(state="failed", error=msg)
    Attempt.objects.create(generation=g, number=1, claim_id="0"*32, outcome="permanent", detail=msg)
    Attempt.objects.create(generation=g, number=2, claim_id="0"*32, outcome="timeout", detail="timeout: 60 s are over")
    other=factory.open_study("finished", title="A finished one"); factory.completed(other); studies.close(other,end="done"); studies.unblind(other,"all in")
    factory.loaded_study("draft-one", title="A draft")
    p=Participant.objects.filter(study=study,state="completed").first()
    for dark in (False, True):
        page=visit(color_scheme="dark" if dark else "light", height=900)
        page.goto("/admin/"); 
        if not dark: page.screenshot(path=OUT+"login.png")
        page.fill("[name=username]","admin"); page.fill("[name=password]","pw-for-shots"); page.press("[name=password]","Enter")
        page.wait_for_selector("#content")
        if dark: page.evaluate("localStorage.setItem('_x_adminTheme','\"dark\"')")
        errors=[]
        page.on("pageerror", lambda e: errors.append(str(e))); page.on("console", lambda m: errors.append(m.text) if m.type=="error" else None)
        for name,url in {"index":"/admin/","studies":"/admin/studyapp/study/","study":f"/admin/studyapp/study/{study.pk}/change/","unblinded":f"/admin/studyapp/study/{other.pk}/change/","people":"/admin/studyapp/participant/","person":f"/admin/studyapp/participant/{p.pk}/change/","texts":"/admin/inference/generation/","text":f"/admin/inference/generation/{g.pk}/change/","judgments":"/admin/annotations/judgment/","log":"/admin/studyapp/event/","close":f"/admin/studyapp/study/{study.pk}/close/","end":f"/admin/studyapp/study/{study.pk}/end/"}.items():
            page.goto(url); page.wait_for_load_state("networkidle"); page.wait_for_timeout(200)
            page.screenshot(path=f"{OUT}{name}-{'dark' if dark else 'light'}.png", full_page=True)
        print(errors)
