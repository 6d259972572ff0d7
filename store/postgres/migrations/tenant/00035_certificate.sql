-- +goose Up

-- Who signed a certificate, by the authority's key id, and what it is for: the
-- register also keeps operators and servers. Those recorded before were all of
-- sync services.
ALTER TABLE certificate ADD COLUMN issuer text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN type text COLLATE "C" NOT NULL DEFAULT 'sync';
ALTER TABLE certificate ADD COLUMN partition text COLLATE "C" NOT NULL DEFAULT 'default';
