// The profiles: all of them, or one by its name.
import { rest } from "../router.js";
import { html } from "../ui.js";
import { List } from "./list.js";
import { One } from "./one.js";

export function ProfilesPage() {
  const name = rest.value;
  return name ? html`<${One} name=${name} key=${name} />` : html`<${List} />`;
}
