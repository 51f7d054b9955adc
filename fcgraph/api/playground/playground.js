// The playground: GraphiQL on this server's own API, with examples that work on the sample data.
/* global React, ReactDOM, GraphiQL, graphqlWs */
"use strict";

const PAYMENTS = `# Alice's payments of May 2025, newest first.
# Ctrl-Enter runs it; the book on the left has the docs.
query Payments {
  user(userId: "00000000-0000-0000-0000-000000000001") {
    name
    payments(
      filter: { start: "2025-05-01", end: "2025-05-31" }
      first: 10
    ) {
      nodes {
        transactionId amount currency timestamp status
        isSuspicious sender { name } receiver { name }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}
`;

const TOTALS = `# What users sent and received per day and currency,
# and the payments behind each row.
query DailyTotals {
  dailyTotals(start: "2025-05-01", end: "2025-05-31") {
    basis { timeZone statuses watermark }
    summary { currency totalSent totalReceived }
    rows {
      userId day currency
      totalSent totalReceived
      payments(first: 3) { nodes { amount timestamp } }
    }
  }
}
`;

const IMPORT = `# Try a CSV: one good row and one that is rejected.
# A dry run writes no payment; take dryRun away to import.
# Put the importId into the variables of the next tab.
mutation Import {
  importCsv(
    input: {
      dryRun: true
      fileName: "try.csv"
      source: {
        text: """
        transaction_id,sender_id,receiver_id,amount,currency,timestamp,status
        a1b2c3d4-e5f6-7a8b-9c0d-bbbb00000001,00000000-0000-0000-0000-000000000001,00000000-0000-0000-0000-000000000002,12.50,EUR,2025-05-20T10:00:00Z,completed
        a1b2c3d4-e5f6-7a8b-9c0d-bbbb00000002,00000000-0000-0000-0000-000000000003,00000000-0000-0000-0000-000000000004,-1,EUR,2025-05-20T10:00:00Z,completed
        """
      }
    }
  ) {
    job { importId state }
    alreadyImported
    userErrors { code message path }
  }
}
`;

const PROGRESS = `# The present state first, then each change,
# until the import is done. Put the importId from the
# Import tab into the variables below.
subscription Progress($importId: UUID!) {
  importProgress(importId: $importId) {
    state
    progress
    counts { read inserted rejected }
    records {
      nodes {
        source { lineNumber }
        problems { column code message }
      }
    }
  }
}
`;

// A valid id of no import: until it is replaced, the answer is "There is no such import".
const NO_IMPORT = "00000000-0000-0000-0000-000000000000";

const REPORT = `# The month as a file: get it from its downloadUrl.
# The same content adds no version.
mutation Report {
  generateMonthlyReport(period: "2025-05") {
    unchanged
    reportFile {
      fileName version downloadUrl rowCount balanced sha256
      totals { currency totalSent totalReceived }
    }
    userErrors { code message }
  }
}
`;

const socketUrl = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`;
const fetcher = GraphiQL.createFetcher({
  url: "/graphql",
  wsClient: graphqlWs.createClient({ url: socketUrl, lazy: true }),
});

ReactDOM.createRoot(document.getElementById("playground")).render(
  React.createElement(
    GraphiQL,
    {
      fetcher,
      defaultEditorToolsVisibility: true,
      defaultTabs: [
        { query: PAYMENTS },
        { query: TOTALS },
        { query: IMPORT },
        { query: PROGRESS, variables: JSON.stringify({ importId: NO_IMPORT }, null, 2) },
        { query: REPORT },
      ],
    },
    React.createElement(GraphiQL.Logo, null, "fcgraph"),
  ),
);
