"""A judgment is final: UPDATE and DELETE are refused, but for the withdrawal of the judgment's own participant."""

from django.db import migrations

CREATE = """
CREATE FUNCTION palate_judgments_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('palate.withdrawing', true) = OLD.participant_id::text THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'A judgment is final: % of judgment % refused', TG_OP, OLD.id
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Only the withdrawal of its participant removes a judgment.';
END $$;
CREATE TRIGGER judgments_are_append_only BEFORE UPDATE OR DELETE ON annotations_judgment
    FOR EACH ROW EXECUTE FUNCTION palate_judgments_are_append_only();
"""
DROP = """
DROP TRIGGER judgments_are_append_only ON annotations_judgment;
DROP FUNCTION palate_judgments_are_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("annotations", "0002_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
