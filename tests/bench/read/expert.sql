-- What an expert adds for PostGraphile: a page with the limit in both branches, once as payments with their relations and
-- once as the eight fields that the index has; a user's daily totals in one pass; all as plain lists (which it answers
-- faster than connections); and the planner told that the data is in memory or on an SSD.
CREATE OR REPLACE FUNCTION users_page(u users, since timestamptz, until timestamptz, size int) RETURNS SETOF transactions
LANGUAGE sql STABLE ROWS 100 AS $$
  (SELECT * FROM transactions WHERE sender_id = u.user_id AND timestamp >= since AND timestamp < until
   ORDER BY timestamp DESC, transaction_id DESC LIMIT size)
  UNION ALL
  (SELECT * FROM transactions WHERE receiver_id = u.user_id AND sender_id <> u.user_id AND timestamp >= since
   AND timestamp < until ORDER BY timestamp DESC, transaction_id DESC LIMIT size)
  ORDER BY timestamp DESC, transaction_id DESC LIMIT size
$$;
COMMENT ON FUNCTION users_page IS '@behavior +list -connection';

DROP FUNCTION IF EXISTS users_fields;
CREATE FUNCTION users_fields(u users, since timestamptz, until timestamptz, size int)
RETURNS TABLE (transaction_id uuid, sender_id uuid, receiver_id uuid, amount numeric, currency text, "timestamp" timestamptz,
               status text, is_suspicious boolean)
LANGUAGE sql STABLE ROWS 100 AS $$
  (SELECT transaction_id, sender_id, receiver_id, amount, currency, timestamp, status, is_suspicious FROM transactions
   WHERE sender_id = u.user_id AND timestamp >= since AND timestamp < until
   ORDER BY timestamp DESC, transaction_id DESC LIMIT size)
  UNION ALL
  (SELECT transaction_id, sender_id, receiver_id, amount, currency, timestamp, status, is_suspicious FROM transactions
   WHERE receiver_id = u.user_id AND sender_id <> u.user_id AND timestamp >= since AND timestamp < until
   ORDER BY timestamp DESC, transaction_id DESC LIMIT size)
  ORDER BY timestamp DESC, transaction_id DESC LIMIT size
$$;
COMMENT ON FUNCTION users_fields IS '@behavior +list -connection';

DROP FUNCTION IF EXISTS users_daily_totals;
CREATE FUNCTION users_daily_totals(u users, since timestamptz, until timestamptz)
RETURNS TABLE (day date, currency text, total_sent numeric, total_received numeric, sent_count bigint, received_count bigint)
LANGUAGE sql STABLE ROWS 100 AS $$
  SELECT m.day, m.currency, COALESCE(sum(m.sent), 0), COALESCE(sum(m.received), 0), count(m.sent), count(m.received) FROM (
    SELECT (timestamp AT TIME ZONE 'UTC')::date AS day, currency, amount AS sent, NULL::numeric AS received
      FROM transactions WHERE sender_id = u.user_id AND timestamp >= since AND timestamp < until AND status = 'completed'
    UNION ALL
    SELECT (timestamp AT TIME ZONE 'UTC')::date, currency, NULL, amount
      FROM transactions WHERE receiver_id = u.user_id AND timestamp >= since AND timestamp < until AND status = 'completed'
  ) m GROUP BY 1, 2 ORDER BY 1, 2
$$;
COMMENT ON FUNCTION users_daily_totals IS '@behavior +list -connection';

DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET random_page_cost = 1.1'; END $$;
