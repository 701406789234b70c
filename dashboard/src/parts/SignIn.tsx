/** The server sets its cookie when it is given the token; the token never stays in the address. */
export function SignIn() {
  return (
    <main className="sign-in">
      <form method="get" action="/" className="card">
        <h1>Sign in</h1>
        <p>
          This server wants its token. <code>sensor serve</code> prints an address with it on a terminal, or the
          file that it is in.
        </p>
        <label>
          <span>Token</span>
          <input name="token" type="password" autoComplete="current-password" required autoFocus />
        </label>
        <button type="submit" className="button primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
