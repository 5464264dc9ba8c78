-- What is in the titles and descriptions of a range of tasks, roughly: a search passes over the ranges whose
-- sketch rules it out. Made behind the writes; the tasks after the last range have none yet. None where the
-- texts are too many to tell anything.
CREATE TABLE search_sketches(
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    sketch BLOB
) STRICT;

-- Tasks whose text was edited and is not in their sketch yet. A number is never given twice: whoever puts a
-- text into a sketch removes what it saw and nothing that came later.
CREATE TABLE search_edits(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL
) STRICT;
CREATE TRIGGER tasks_reworded AFTER UPDATE OF title, description ON tasks
    WHEN OLD.title IS NOT NEW.title OR OLD.description IS NOT NEW.description
BEGIN
    INSERT INTO search_edits(task) VALUES (NEW.id);
END;
