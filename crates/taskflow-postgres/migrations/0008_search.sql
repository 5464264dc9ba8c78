-- What is in the titles and descriptions of a range of tasks, roughly: a search passes over the ranges whose
-- sketch rules it out. Made behind the writes; the tasks after the last range have none yet. None where the
-- texts are too many to tell anything.
CREATE TABLE taskflow.search_sketches(
    first bigint PRIMARY KEY,
    last bigint NOT NULL,
    sketch bytea
);
-- A sketch has no pattern to compress, and is read bit by bit where it lies.
ALTER TABLE taskflow.search_sketches ALTER COLUMN sketch SET STORAGE PLAIN;

-- Tasks whose text was edited and is not in their sketch yet. A number is never given twice: whoever puts a
-- text into a sketch removes what it saw and nothing that came later.
CREATE TABLE taskflow.search_edits(
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task bigint NOT NULL
);
CREATE FUNCTION taskflow.keep_wording() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO taskflow.search_edits(task) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_reworded AFTER UPDATE OF title, description ON taskflow.tasks FOR EACH ROW
    WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.description IS DISTINCT FROM NEW.description)
    EXECUTE FUNCTION taskflow.keep_wording();
