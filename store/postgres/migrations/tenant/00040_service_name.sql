-- +goose Up

-- A service is looked for by its name whenever one is onboarded.
CREATE INDEX service_name ON service (name);
