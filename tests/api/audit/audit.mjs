// Audits the GraphQL server whose address is the argument; one JSON array of { id, name, status, reason } to stdout.
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
