-- Which authority of the fleet signed a certificate: SHA-256 of the authority's own. NULL for those
-- from before there could be two.
ALTER TABLE appliance_certificates ADD COLUMN authority BLOB;
