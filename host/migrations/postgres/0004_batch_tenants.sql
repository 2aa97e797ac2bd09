-- Whose endpoint runs a batch.
ALTER TABLE batches ADD COLUMN tenant TEXT NOT NULL DEFAULT 'default';
