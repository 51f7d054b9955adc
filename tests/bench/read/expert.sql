-- What an expert adds for PostGraphile: a page with the limit in both branches, and a user's daily totals.
CREATE OR REPLACE FUNCTION users_page(u users, since timestamptz, until timestamptz, size int) RETURNS SETOF transactions
LANGUAGE sql STABLE ROWS 100 AS $$
  (SELECT * FROM transactions WHERE sender_id = u.user_id AND timestamp >= since AND timestamp < until
   ORDER BY timestamp DESC, transaction_id DESC LIMIT size)
  UNION ALL
  (SELECT * FROM transactions WHERE receiver_id = u.user_id AND sender_id <> u.user_id AND timestamp >= since
   AND timestamp < until ORDER BY timestamp DESC, transaction_id DESC LIMIT size)
  ORDER BY timestamp DESC, transaction_id DESC LIMIT size
$$;
COMMENT ON FUNCTION users_page IS '@simpleCollections both';

DROP FUNCTION IF EXISTS users_daily_totals;
CREATE FUNCTION users_daily_totals(u users, since timestamptz, until timestamptz)
RETURNS TABLE (day date, currency text, total_sent numeric, total_received numeric, sent_count bigint, received_count bigint)
LANGUAGE sql STABLE ROWS 100 AS $$
  SELECT m.day, m.currency, sum(m.sent), sum(m.received), sum(m.sent_count)::bigint, sum(m.received_count)::bigint FROM (
    SELECT (timestamp AT TIME ZONE 'UTC')::date AS day, currency, sum(amount) AS sent, 0 AS received,
           count(*) AS sent_count, 0 AS received_count
      FROM transactions WHERE sender_id = u.user_id AND timestamp >= since AND timestamp < until AND status = 'completed'
     GROUP BY 1, 2
    UNION ALL
    SELECT (timestamp AT TIME ZONE 'UTC')::date, currency, 0, sum(amount), 0, count(*)
      FROM transactions WHERE receiver_id = u.user_id AND timestamp >= since AND timestamp < until AND status = 'completed'
     GROUP BY 1, 2) m
  GROUP BY 1, 2 ORDER BY 1, 2
$$;
COMMENT ON FUNCTION users_daily_totals IS '@simpleCollections both';
