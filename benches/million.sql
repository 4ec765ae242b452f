-- A million threads with ten messages each, for measuring on SQLite:
--
--   export DATABASE_URL=sqlite:///million.db
--   convo migrate && sqlite3 million.db < benches/million.sql
--   perf stat -r 20 convo list --limit 50
--
-- Activity is scattered over the threads, so that neighbours in the list are far apart in the
-- file. Half of the threads end with the contact's text; of ours 1 in 1,000 failed, 1 in 100,000
-- is unknown, and 1 contact in 5,000 has opted out.
PRAGMA synchronous = off;
PRAGMA cache_size = -400000;
PRAGMA temp_store = memory;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
INSERT INTO conversations
    (id, contact_number, message_count, last_message_at, created_at, opted_out_at,
     opted_out_number, opt_out_decided_at)
SELECT printf('01a2%04x-%04x-7%03x-8000-%04x%08x', i / 65536, i & 65535, i % 4096, i & 65535,
              (i * 2654435761) & 4294967295),
       printf('+1%010d', 2000000000 + i), 10,
       1764000000000000 + (i * 7919 % 1000000) * 1000000, 1763000000000000 + i * 1000,
       CASE WHEN i % 5000 = 17 THEN 1764000000000000 + i END,
       CASE WHEN i % 5000 = 17 THEN '+15550000001' END,
       CASE WHEN i % 5000 = 17 THEN 1764000000000000 + i END
FROM n;
WITH RECURSIVE k(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM k WHERE j < 9),
said AS (
    SELECT c.rowid AS i, j, c.id AS thread, c.contact_number AS contact,
           '+1555000000' || (c.rowid % 3) AS own, (c.rowid + j) % 2 = 0 AS inbound,
           c.last_message_at - (9 - j) * 60000000 AS at,
           CASE WHEN (c.rowid + j) % 2 = 0 THEN 'received'
                WHEN (c.rowid * 31 + j) % 100003 = 7 THEN 'unknown'
                WHEN (c.rowid * 17 + j) % 1000 = 3 THEN 'delivery_failed'
                ELSE 'delivered' END AS status
    FROM conversations c, k ORDER BY c.rowid, j
)
INSERT INTO messages
    (id, conversation_id, telnyx_message_id, direction, from_number, to_number, body, status,
     status_rank, created_at, segments, encoding)
SELECT printf('01a3%04x-%04x-7%03x-8000-%04x%08x', i / 65536, i & 65535, j, j,
              (i * 40503 + j) & 4294967295),
       thread, printf('t-%d-%d', i, j), iif(inbound, 'inbound', 'outbound'),
       iif(inbound, contact, own), iif(inbound, own, contact),
       'Message number ' || j || ' to somebody, of a usual length for a text.', status,
       CASE status WHEN 'received' THEN 130 WHEN 'unknown' THEN 10 WHEN 'delivery_failed' THEN 100
                   ELSE 110 END,
       at, 1, 'GSM-7'
FROM said;
COMMIT;
PRAGMA wal_checkpoint(truncate);
