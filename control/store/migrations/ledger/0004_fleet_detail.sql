-- What fails together, and what an operator says of an appliance beyond the least.
ALTER TABLE sites ADD COLUMN fails_as_one INTEGER NOT NULL DEFAULT 0 CHECK (fails_as_one IN (0, 1));
ALTER TABLE appliances ADD COLUMN detail TEXT NOT NULL DEFAULT '{}';  -- control_types::fleet::ApplianceDetail as JSON
