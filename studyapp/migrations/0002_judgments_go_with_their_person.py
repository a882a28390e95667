"""Naming a participant in `palate.withdrawing` is not enough: at commit, whose judgments went must be withdrawn."""

from django.db import migrations

CREATE = """
CREATE FUNCTION palate_judgments_go_with_their_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM studyapp_participant WHERE id = OLD.participant_id AND state <> 'withdrawn') THEN
        RAISE EXCEPTION 'A judgment is final: judgment % went, but its participant is not withdrawn', OLD.id
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Withdraw the participant: manage.py withdraw SLUG CODE';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER judgments_go_with_their_person AFTER DELETE ON annotations_judgment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION palate_judgments_go_with_their_person();
"""
DROP = """
DROP TRIGGER judgments_go_with_their_person ON annotations_judgment;
DROP FUNCTION palate_judgments_go_with_their_person();
"""


class Migration(migrations.Migration):
    dependencies = [("studyapp", "0001_initial"), ("annotations", "0003_judgments_are_append_only")]
    operations = [migrations.RunSQL(CREATE, DROP)]
