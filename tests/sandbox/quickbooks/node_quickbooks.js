// What node-quickbooks gets out of a company: reads {base_url, realm_id, ...} on standard input, writes what it saw.
const QuickBooks = require('node-quickbooks');

const told = JSON.parse(require('fs').readFileSync(0, 'utf8'));
QuickBooks.V3_ENDPOINT_BASE_URL = `${told.base_url}/v3/company/`;
QuickBooks.TOKEN_URL = `${told.base_url}/oauth2/v1/tokens/bearer`;
QuickBooks.REVOKE_URL = `${told.base_url}/v2/oauth2/tokens/revoke`;
const books = new QuickBooks(
  told.client_id, told.client_secret, told.access_token, false, told.realm_id, true, false, 75, '2.0', told.refresh_token,
);

const ask = (name, ...rest) => new Promise((resolve, reject) => {
  books[name](...rest, (error, value) => (error ? reject(error) : resolve(value)));
});
const refused = async (name, ...rest) => {
  try {
    await ask(name, ...rest);
  } catch (error) {
    return (error.Fault || error.response.data.Fault).Error[0].code;
  }
  return 'none';
};

(async () => {
  const seen = {};
  const customer = await ask('createCustomer', { DisplayName: "Node O'Brien" });
  const line = { Amount: 12.5, DetailType: 'SalesItemLineDetail', SalesItemLineDetail: { ItemRef: { value: '6' } } };
  const invoice = await ask('createInvoice', { CustomerRef: { value: customer.Id }, Line: [line], requestId: 'node-1' });
  const again = await ask('createInvoice', { CustomerRef: { value: customer.Id }, Line: [line], requestId: 'node-1' });
  seen.replayed = invoice.Id === again.Id;
  seen.total = invoice.TotalAmt;
  seen.token = (await ask('updateCustomer', { Id: customer.Id, SyncToken: '0', Notes: 'x' })).SyncToken;
  seen.quoted = (await ask('findCustomers', { DisplayName: "Node O'Brien" })).QueryResponse.Customer[0].Notes;
  const all = await ask('findInvoices', [{ field: 'fetchAll', value: true }, { field: 'limit', value: 10 }]);
  seen.fetched = all.QueryResponse.Invoice.length;
  seen.counted = (await ask('findInvoices', { count: true })).QueryResponse.totalCount;
  seen.batch = (await ask('batch', [
    { bId: '1', operation: 'create', Customer: { DisplayName: "Node O'Brien" } },
    { bId: '2', Query: 'select * from Term' },
  ])).BatchItemResponse.map((item) => Object.keys(item).filter((key) => key !== 'bId')[0]);
  seen.voided = (await ask('voidInvoice', invoice.Id)).Invoice.TotalAmt;
  seen.deleted = (await ask('deleteInvoice', invoice.Id)).Invoice.status;
  seen.missing = await refused('getInvoice', invoice.Id);
  const since = new Date(Date.now() - 86400000);
  seen.captured = (await ask('changeDataCapture', ['Invoice', 'Customer'], since)).CDCResponse[0].QueryResponse.length;
  seen.tax = Object.keys(await ask('createTaxService', {
    TaxCode: 'Node', TaxRateDetails: [{ TaxRateName: 'node', RateValue: '5', TaxAgencyId: '1', TaxApplicableOn: 'Sales' }],
  }))[0];
  seen.report = (await ask('reportCustomerBalance', {})).Header.ReportName;
  const file = await ask('upload', 'note.txt', 'text/plain', Buffer.from('hello'), 'Customer', customer.Id);
  seen.attached = file.AttachableRef[0].EntityRef.type;
  process.stdout.write(JSON.stringify(seen));
})().catch((error) => {
  process.stderr.write(`${error.stack || JSON.stringify(error)}\n`);
  process.exit(1);
});
