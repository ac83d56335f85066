// What quickbooks-node-promise gets out of a company: reads {base_url, realm_id, ...} on standard input, writes what it saw.
const Client = require('quickbooks-node-promise').default;

const told = JSON.parse(require('fs').readFileSync(0, 'utf8'));
Client.V3_ENDPOINT_BASE_URL = `${told.base_url}/v3/company/`;
Client.TOKEN_URL = `${told.base_url}/oauth2/v1/tokens/bearer`;
Client.REVOKE_URL = `${told.base_url}/v2/oauth2/tokens/revoke`;
const books = new Client({
  appKey: told.client_id,
  appSecret: told.client_secret,
  redirectUrl: 'http://localhost/callback',
  scope: ['com.intuit.quickbooks.accounting'],
  accessToken: told.access_token,
  refreshToken: told.refresh_token,
  minorversion: 75,
  autoRefresh: false,
}, told.realm_id);

const refused = async (asked) => {
  try {
    await asked();
  } catch (error) {
    return error.errorResponse ? error.errorResponse.Fault.Error[0].code : String(error.response.status);
  }
  return 'none';
};
const found = async (name, input) => (await books[`find${name}`](input)).QueryResponse;

(async () => {
  const seen = {};
  const customer = (await books.createCustomer({ DisplayName: "Promise O'Brien" })).Customer;
  const line = { Amount: 100, DetailType: 'SalesItemLineDetail', SalesItemLineDetail: { ItemRef: { value: '6' } } };
  const form = { CustomerRef: { value: customer.Id }, Line: [line] };
  const made = await books.createInvoice(form);
  const invoice = made.Invoice;
  seen.traced = Boolean(made.specialHeaders.intuitTid);
  seen.sparse = (await books.updateCustomer({ Id: customer.Id, SyncToken: '0', sparse: true, Notes: 'x' })).Customer.Notes;
  seen.quoted = (await found('Customers', { DisplayName: "Promise O'Brien" })).Customer[0].Id === customer.Id;
  seen.like = (await found('Customers', [{ field: 'DisplayName', value: 'Amy%', operator: 'LIKE' }])).Customer[0].Id;
  seen.among = (await found('Customers', [{ field: 'Id', value: ['1', '2'], operator: 'IN' }])).Customer.length;
  seen.last = (await found('Customers', { sort: [['DisplayName', 'DESC']], limit: 1 })).Customer[0].DisplayName;
  seen.all = (await found('Invoices', { fetchAll: true, limit: 10 })).Invoice.length;
  seen.counted = (await books.countInvoices()).QueryResponse.totalCount;
  seen.none = await found('Budgets', { limit: 1 });
  seen.pdf = (await books.getInvoicePdf(invoice.Id)).subarray(0, 5).toString();
  seen.mailed = (await books.sendInvoicePdf(invoice.Id, 'a@example.com')).EmailStatus;
  const paid = (await books.createPayment({
    CustomerRef: { value: customer.Id }, TotalAmt: 40, Line: [{ Amount: 40, LinkedTxn: [{ TxnId: invoice.Id, TxnType: 'Invoice' }] }],
  })).Payment;
  seen.owed = (await books.getInvoice(invoice.Id)).Invoice.Balance;
  seen.deleted = (await books.deletePayment({ Id: paid.Id, SyncToken: paid.SyncToken })).Payment.status;
  seen.voided = (await books.voidInvoice((await books.getInvoice(invoice.Id)).Invoice)).Invoice.TotalAmt;
  seen.missing = await refused(() => books.getInvoice('99999'));
  seen.reports = [];
  for (const name of ['CustomerBalance', 'AgedReceivables', 'AgedReceivableDetail', 'TransactionList']) {
    seen.reports.push((await books[`report${name}`]({})).Header.ReportName);
  }
  const since = new Date(Date.now() - 3600000);
  seen.captured = (await books.changeDataCapture(['Invoice', 'Customer'], since)).CDCResponse[0].QueryResponse.length;
  seen.batch = (await books.batch([
    { bId: '1', operation: 'create', Customer: { DisplayName: "Promise O'Brien" } },
    { bId: '2', Query: 'select count(*) from Term' },
  ])).BatchItemResponse.map((item) => Object.keys(item).filter((key) => key !== 'bId')[0]);
  const file = await books.upload('note.txt', 'text/plain', Buffer.from('hello'), 'Customer', customer.Id);
  seen.attached = file.AttachableResponse[0].Attachable.AttachableRef[0].EntityRef.type;
  const fresh = await books.refreshAccessToken();
  seen.refreshed = Boolean(fresh.access_token) && fresh.access_token !== told.access_token;
  seen.revoked = (await books.revokeAccess(true)).status;
  seen.after = await refused(() => books.getCompanyInfo(told.realm_id));
  process.stdout.write(JSON.stringify(seen));
})().catch((error) => {
  process.stderr.write(`${error.stack || JSON.stringify(error)}\n`);
  process.exit(1);
});
