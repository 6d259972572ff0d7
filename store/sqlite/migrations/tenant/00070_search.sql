-- +goose Up

-- Every three characters in a row of device_text, for searches of three and
-- more. It holds rows of the same numbers and follows that table by itself.
CREATE VIRTUAL TABLE device_search USING fts5(
    text, content='', contentless_delete=1, detail='none', tokenize='trigram case_sensitive 1'
);

INSERT INTO device_search (rowid, text) SELECT id, text FROM device_text;

-- +goose StatementBegin
CREATE TRIGGER device_text_added AFTER INSERT ON device_text BEGIN
    INSERT INTO device_search (rowid, text) VALUES (new.id, new.text);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER device_text_changed AFTER UPDATE ON device_text BEGIN
    UPDATE device_search SET text = new.text WHERE rowid = old.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER device_text_dropped AFTER DELETE ON device_text BEGIN
    DELETE FROM device_search WHERE rowid = old.id;
END;
-- +goose StatementEnd
