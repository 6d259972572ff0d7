-- +goose Up

-- What a device was found by and is not any more stays in the index of searches
-- until a piece of it is half of that, instead of a tenth: where each run brings
-- other addresses, writing it anew was half of what a batch cost.
INSERT INTO device_search (device_search, rank) VALUES ('deletemerge', 50);
