-- Updates of `runs` stay in their page. A page keeps room for a new version of each of its rows: many
-- runs that were admitted together are changed in one transaction, which cannot reuse the room of the
-- old versions. A row that leaves its page costs an entry in each index.
ALTER TABLE runs SET (fillfactor = 50);

-- A trigger before an update locks each row, in the log too, even if it has nothing to say.
DROP TRIGGER runs_end_for_good ON runs;
CREATE TRIGGER runs_end_for_good AFTER UPDATE ON runs
    FOR EACH ROW WHEN (OLD.ended_at_ms IS NOT NULL) EXECUTE FUNCTION refuse_after_the_end();
