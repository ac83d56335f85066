// Intuit's own OAuth client for JavaScript against the local authorization server; prints what it saw as JSON.
const OAuthClient = require("intuit-oauth");

async function main(input) {
  const base = input.base_url;
  const client = new OAuthClient({
    clientId: input.client_id,
    clientSecret: input.client_secret,
    environment: "sandbox",
    redirectUri: "http://localhost:8000/callback",
  });
  client.setAuthorizeURLs({
    authorizeEndpoint: `${base}/connect/oauth2`,
    tokenEndpoint: `${base}/oauth2/v1/tokens/bearer`,
    revokeEndpoint: `${base}/v2/oauth2/tokens/revoke`,
    userInfoEndpoint: `${base}/v1/openid_connect/userinfo`,
  });
  const page = new URL(client.authorizeUri({ scope: [OAuthClient.scopes.Accounting, OAuthClient.scopes.OpenId], state: "s" }));
  const form = new URLSearchParams(page.searchParams);
  form.set("decision", "connect");
  form.set("realm", input.realm_id);
  const consent = await fetch(page.origin + page.pathname, { method: "POST", body: form, redirect: "manual" });
  const token = (await client.createToken(consent.headers.get("location"))).json;
  const seen = { realm: client.getToken().realmId, valid: client.isAccessTokenValid(), token: Object.keys(token).sort() };
  const read = (path) => client.makeApiCall({ url: `${base}/v3/company/${input.realm_id}/${path}` });
  seen.company = (await read(`companyinfo/${input.realm_id}`)).json.CompanyInfo.Id;
  seen.missing = await read("customer/99999").catch((error) => [error.message, error.code]);
  seen.person = Object.keys((await client.getUserInfo()).json);
  seen.refreshed = (await client.refresh()).json.refresh_token === token.refresh_token;
  seen.wrong = await client.refreshUsingToken("AB11nothing").catch((error) => [error.error, error.error_description]);
  await client.revoke();
  seen.revoked = await client.refreshUsingToken(token.refresh_token).catch((error) => error.error);
  process.stdout.write(JSON.stringify(seen));
}

let text = "";
process.stdin.on("data", (piece) => (text += piece));
process.stdin.on("end", () =>
  main(JSON.parse(text)).catch((error) => {
    process.stderr.write(String(error.stack || error));
    process.exit(1);
  })
);
