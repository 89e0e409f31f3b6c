// Fetches the document and shows it. A server with API keys wants one: it is asked for, kept in this page only, and also
// sent with the requests that are tried out here.
const [api, form, message] = ["api", "key", "message"].map((id) => document.getElementById(id));

// A narrow screen has no room for the list of operations beside them.
if (matchMedia("(max-width: 768px)").matches) api.setAttribute("render-style", "view");

async function show(key) {
  const response = await fetch("/openapi.json", { headers: key ? { "X-API-Key": key } : {} });
  form.hidden = response.ok;
  if (!response.ok) {
    const { detail } = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
    message.textContent = key || response.status !== 401 ? detail : "";
    return;
  }
  const spec = await response.json();
  spec.servers = [{ url: location.origin }];
  await customElements.whenDefined("rapi-doc");
  await api.loadSpec(spec);
  if (key) api.setApiKey("ApiKey", key);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  show(new FormData(form).get("key"));
});

await show("");
