-- A million conversations with ten messages each, for measuring on SQLite:
--
--   export DATABASE_URL=sqlite:///million.db
--   convo migrate && sqlite3 million.db < benches/million.sql
--   perf stat -r 20 convo list --limit 50
--
-- Activity is scattered over the conversations, so that neighbours in the list are far apart in the
-- file. One conversation in 1,000 ends with a text of ours, which is unknown, and one in 1,000 with a
-- text to our number +15550000009; all others end with a text from the contact. Of the other outbound
-- texts, 1 in 1,000 failed and 1 in 100,000 is unknown; 1 contact in 5,000 has opted out. Ids are any 16
-- bytes.
PRAGMA synchronous = off;
PRAGMA cache_size = -400000;
PRAGMA temp_store = memory;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999)
INSERT INTO conversations
    (key, id, contact_number, message_count, last_message_at, created_at, opted_out_at,
     opted_out_number, last_route)
SELECT i + 1, CAST(printf('%08x%08x', i, (i * 2654435761) & 4294967295) AS BLOB), printf('+1%010d', 2000000000 + i), 10,
       1764000000000000 + (i * 7919 % 1000000) * 1000000, 1763000000000000 + i * 1000,
       CASE WHEN i % 5000 = 17 THEN 1764000000000000 + i END,
       CASE WHEN i % 5000 = 17 THEN '+15550000001' END,
       iif(i % 1000 = 1, 'out:', 'in:') || '+1555000000' || iif(i % 1000 = 2, 9, i % 3)
FROM n;
WITH RECURSIVE k(j) AS (SELECT 0 UNION ALL SELECT j + 1 FROM k WHERE j < 9),
said AS (
    SELECT c.key - 1 AS i, j, c.key AS thread, c.contact_number AS contact,
           '+1555000000' || iif(j = 9 AND c.key % 1000 = 3, 9, (c.key - 1) % 3) AS own,
           iif(c.key % 1000 = 2, j % 2 = 0, j % 2 = 1) AS inbound,
           c.last_message_at - (9 - j) * 60000000 AS at,
           CASE WHEN iif(c.key % 1000 = 2, j % 2 = 0, j % 2 = 1) THEN 130
                WHEN j = 9 OR (c.key * 31 + j) % 100003 = 7 THEN 10
                WHEN (c.key * 17 + j) % 1000 = 3 THEN 100
                ELSE 110 END AS rank
    FROM conversations c, k ORDER BY c.key, j
)
INSERT INTO messages
    (id, conversation_key, telnyx_message_id, direction, from_number, to_number, body, status_rank,
     created_at, segments, encoding)
SELECT CAST(printf('%07x%x%08x', i, j, (i * 40503 + j) & 4294967295) AS BLOB), thread,
       CAST(printf('t%014d%d', i, j) AS BLOB), NOT inbound, iif(inbound, contact, own),
       iif(inbound, own, contact),
       'Message number ' || j || ' to somebody, of a usual length for a text.', rank, at, 1, 'GSM-7'
FROM said;
COMMIT;
PRAGMA wal_checkpoint(truncate);
