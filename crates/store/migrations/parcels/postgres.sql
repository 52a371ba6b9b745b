-- One index of names instead of two. Parcels are found by stepping from one to the next, blobs by two
-- probes: each run adds an entry less.
DROP INDEX names_of_parcels;
DROP INDEX names_by_digest;
CREATE INDEX names_by_digest ON names (is_parcel, digest);
